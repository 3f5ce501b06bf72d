package orchestration

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
)

// SchemaDigest returns 16 hexadecimal digits that stand for the tables that [Migrate]
// makes: another digest, other migrations. It is a key for databases that are kept as
// templates.
func SchemaDigest() string {
	sum := sha256.New()
	names, err := fs.Glob(migrations, "migrations/*.sql") // in the order of their names
	for _, name := range names {
		var content []byte
		if content, err = migrations.ReadFile(name); err != nil {
			break
		}
		sum.Write([]byte(name + "\x00"))
		sum.Write(content)
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
