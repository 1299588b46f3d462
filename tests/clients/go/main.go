// SPDX-License-Identifier: MIT OR Apache-2.0

// The module through the packages that Go programs use: miekg/pkcs11, and ThalesIgnite/crypto11 above it.
//
//	go run . STEP [ARGUMENT]...; P11_MODULE and PIN are in the environment
package main

import "os"

func main() {
	args := os.Args[1:]

	switch args[0] {
	case "raw":
		raw(args[1])
	case "again":
		again(args[1])
	case "setpin":
		setPin(args[1])
	case "crypto11":
		high()
	case "threads":
		threads()
	default:
		panic(args[0])
	}
	done()
}
