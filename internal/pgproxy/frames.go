package pgproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/cockroachdb/errors"
)

// The codes of the packets that begin a connection. Any other code is the version
// of the protocol.
const (
	codeCancel = 80877102
	codeTLS    = 80877103
	codeGSS    = 80877104
)

// The types of the server's messages that the proxy reads.
const (
	typeParameterStatus = 'S'
	typeBackendKeyData  = 'K'
	typeCommandComplete = 'C'
	typeErrorResponse   = 'E'
	typeReadyForQuery   = 'Z'
)

const (
	lengthSize = 4              // of a message's length, which counts itself
	headerSize = 1 + lengthSize // of a message's type and length
	// maxMessage is more than any message has. A longer one is no message.
	maxMessage = 1 << 30
)

// frames reads a stream message by message.
type frames struct {
	r *bufio.Reader
}

func newFrames(r io.Reader) *frames { return &frames{bufio.NewReaderSize(r, 32<<10)} }

// packet returns the next packet without a type, with its length, and its code. Only
// the packets that begin a connection have no type.
func (f *frames) packet() (packet []byte, code uint32, err error) {
	packet, err = f.read(0)
	if err != nil {
		return nil, 0, err
	}
	if len(packet) < 2*lengthSize {
		return nil, 0, errors.Newf("pgproxy: a first packet of %d bytes", len(packet))
	}
	return packet, binary.BigEndian.Uint32(packet[lengthSize:]), nil
}

// message returns the next message with its header.
func (f *frames) message() ([]byte, error) { return f.read(1) }

// body returns what a message has behind its header.
func body(message []byte) []byte { return message[headerSize:] }

// read returns the next message, whose length is behind skipped bytes.
func (f *frames) read(skipped int) ([]byte, error) {
	header, err := f.r.Peek(skipped + lengthSize)
	if err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(header[skipped:])
	if length < lengthSize || length > maxMessage {
		return nil, errors.Newf("pgproxy: a message of %d bytes", length)
	}
	message := make([]byte, skipped+int(length))
	_, err = io.ReadFull(f.r, message)
	return message, err
}

// more reports whether message returns without waiting for the network.
func (f *frames) more() bool {
	if f.r.Buffered() < headerSize {
		return false
	}
	header, err := f.r.Peek(headerSize)
	return err == nil && f.r.Buffered() > int(binary.BigEndian.Uint32(header[1:]))
}

// strings returns the strings that end with a zero byte in b, up to an empty one.
func stringsIn(b []byte) []string {
	var all []string
	for {
		s, rest, found := bytes.Cut(b, []byte{0})
		if !found || len(s) == 0 {
			return all
		}
		all, b = append(all, string(s)), rest
	}
}
