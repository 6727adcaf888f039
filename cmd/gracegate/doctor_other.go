//go:build !linux

package main

import "errors"

func clockSynchronised() (bool, error) { return false, errors.ErrUnsupported }
