package rubyhost_test

import (
	"context"
	"fmt"
	"log"
)

// Load loads one file, again each time it is called.
func ExampleHost_Load() {
	ctx := context.Background()
	host := bootedHost()
	if err := host.Load(ctx, "testdata/handlers/example_shop/box.rb"); err != nil {
		log.Fatal(err)
	}
	value, err := host.Eval(ctx, "ExampleShop::Box::GRAMS", "example.rb")
	fmt.Println(string(value), err)
	// Output: 150 <nil>
}

// LoadDir loads all files of a folder. One that names a constant of another is
// loaded after it.
func ExampleHost_LoadDir() {
	ctx := context.Background()
	host := bootedHost()
	if err := host.LoadDir(ctx, "testdata/handlers"); err != nil {
		log.Fatal(err)
	}
	pack, err := host.Handler(ctx, "ExampleShop::Pack")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pack.Class())
	// Output: ExampleShop::Pack
}

// Require takes what Ruby's require takes: a library, or a program's own file
// such as ./config/boot.
func ExampleHost_Require() {
	ctx := context.Background()
	host := bootedHost()
	if err := host.Require(ctx, "digest"); err != nil {
		log.Fatal(err)
	}
	value, err := host.Eval(ctx, `Digest::MD5.hexdigest("ruby")[0, 8]`, "example.rb")
	fmt.Println(string(value), err)
	// Output: "58e53d13" <nil>
}

// Eval runs a text at the top level. Numbers are exact, whatever their size.
func ExampleHost_Eval() {
	value, err := bootedHost().Eval(context.Background(), `{ engine: RUBY_ENGINE, big: 2**70 }`, "example.rb")
	fmt.Println(string(value), err)
	// Output: {"engine":"ruby","big":1180591620717411303424} <nil>
}
