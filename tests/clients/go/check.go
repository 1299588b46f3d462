// SPDX-License-Identifier: MIT OR Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"
)

var (
	mutex           sync.Mutex
	checked, failed int
)

// What must be, a line for each.
func check(what string, good bool) {
	mutex.Lock()
	defer mutex.Unlock()
	checked++
	word := "ok -"
	if !good {
		failed++
		word = "FAIL"
	}
	fmt.Println(word, what)
}

// Nothing that follows makes sense without it.
func must(what string, err error) {
	if err == nil {
		return
	}
	fmt.Printf("FAIL %s: %v\n", what, err)
	os.Exit(1)
}

// What must not work, and with which of PKCS#11's codes it is refused.
func refused(what string, err error, code uint) {
	var rv pkcs11.Error
	is := errors.As(err, &rv) && uint(rv) == code
	// crypto11 hands some errors up as words only.
	is = is || err != nil && strings.Contains(err.Error(), pkcs11.Error(code).Error())
	check(fmt.Sprintf("%s: %v", what, err), is)
}

func done() {
	fmt.Printf("%d checked, %d failed\n", checked, failed)
	if failed > 0 || checked == 0 {
		os.Exit(1)
	}
}
