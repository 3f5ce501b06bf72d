package rubyhost

/*
#cgo pkg-config: ruby
#cgo CFLAGS: -std=gnu11
#cgo LDFLAGS: -Wl,--as-needed -rdynamic -ldl -lpthread
#include <stdlib.h>
#include "cbridge.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cockroachdb/errors"
)

// bootInterpreter starts CRuby with the given command line and loads main.
func bootInterpreter(o Options, eventFD int, main string) error {
	args, err := commandLine(o, main)
	if err != nil {
		return err
	}
	options := (*C.tasker_boot_options)(C.calloc(1, C.sizeof_tasker_boot_options))
	*options = C.tasker_boot_options{
		threads:    C.uint32_t(o.Threads),
		max_result: C.uint64_t(o.MaxResultBytes),
		spin_ns:    C.int64_t(max(o.Spin, 0)),
		event_fd:   C.int(eventFD),
		argc:       C.int(len(args)),
		argv:       argv(args),
		main:       C.CString(main),
	}
	if message := C.tasker_boot(options); message != nil {
		defer C.free(unsafe.Pointer(message))
		return bootFailure(C.GoString(message), o.Gemfile)
	}
	return nil
}

// commandLine returns the interpreter's own arguments, its name first. main is the path
// of host.rb.
func commandLine(o Options, main string) ([]string, error) {
	args := []string{o.Program, "-EUTF-8:UTF-8"}
	for _, dir := range o.LoadPath {
		args = append(args, "-I", dir)
	}
	if o.Gemfile != "" {
		// Bundler must come before any gem is activated, default gems included.
		if err := os.Setenv("BUNDLE_GEMFILE", o.Gemfile); err != nil {
			return nil, errors.Wrap(err, "setting BUNDLE_GEMFILE")
		}
		args = append(args, "-r"+filepath.Join(filepath.Dir(main), "host", "gemfile.rb"))
	}
	args = append(args, o.RubyOptions...)
	if o.YJIT {
		memory := o.YJITMemoryMiB
		if memory == 0 {
			memory = int(C.tasker_yjit_memory_default)
		}
		args = append(args, "--yjit", fmt.Sprintf("%s=%d", C.GoString(C.tasker_yjit_memory_option), memory))
	}
	// The script is empty. Without one the interpreter would read standard input.
	return append(args, "-e", ""), nil
}

// argv copies the arguments into C's memory. The assignment to $0 writes over
// them, so they must be writable, lie one after the other, and never be freed.
func argv(args []string) **C.char {
	block := (*C.char)(C.CBytes([]byte(strings.Join(args, "\x00") + "\x00")))
	pointers := unsafe.Slice((**C.char)(C.calloc(C.size_t(len(args)+1), C.size_t(unsafe.Sizeof(block)))), len(args)+1)
	at := unsafe.Pointer(block)
	for i, arg := range args {
		pointers[i] = (*C.char)(at)
		at = unsafe.Add(at, len(arg)+1)
	}
	return &pointers[0]
}
