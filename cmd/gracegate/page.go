package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gracegate/gracegate/config"
)

// maxPageFile bounds the template of refusals.
const maxPageFile = 256 << 10

// readPageFile reads the template of refusals. The error is a [config.Errors].
func readPageFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", unreadablePage(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	if err != nil {
		return "", unreadablePage(name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPageFile+1))
	switch {
	case err != nil:
		return "", unreadablePage(name, err)
	case len(text) > maxPageFile:
		return "", pageProblem(name, 0, 0, "is larger than 256 KiB")
	}
	return string(text), nil
}

func unreadablePage(name string, err error) error {
	if perr, ok := errors.AsType[*os.PathError](err); ok {
		err = perr.Err
	}
	return config.Errors{{
		Key: "deny.page", Value: name, Message: fmt.Sprintf("%q cannot be used: %v", name, err),
		Hint: "gracegate config --page prints the built-in page, to start from",
	}}
}

// pageProblem is a mistake in the template of refusals; the line and column are 0 where they are not known.
func pageProblem(name string, line, column int, message string) error {
	where := name
	if line > 0 {
		where = fmt.Sprintf("%s:%d", where, line)
	}
	if line > 0 && column > 0 {
		where = fmt.Sprintf("%s:%d", where, column)
	}
	return config.Errors{{
		Where: where, Key: "deny.page", Message: message,
		Hint: "it is a template in the syntax of Go's html/template; docs/page.md tells what it can show",
	}}
}
