package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/proxy/login"
)

// maxUsersFile bounds the file of users, which is some hundred thousand of them.
const maxUsersFile = 16 << 20

// readUsers reads the file of clients.auth; nil without one. The error is a [config.Errors] with all mistakes in it.
func readUsers(name string) (*login.Users, error) {
	if name == "" {
		return nil, nil
	}
	text, err := readUsersFile(name)
	if err != nil {
		return nil, err
	}
	users, mistakes := login.Parse(text)
	if len(mistakes) == 0 {
		return users, nil
	}
	problems := make(config.Errors, len(mistakes))
	for i, m := range mistakes {
		where := name
		if m.Line > 0 {
			where = fmt.Sprintf("%s:%d", name, m.Line)
		}
		problems[i] = config.Problem{Where: where, Key: "clients.auth", Message: m.Message, Hint: m.Hint}
	}
	return nil, problems
}

// readUsersFile reads a regular file that not everybody may read, since it has hashes, nor anybody but its owner write.
func readUsersFile(name string) ([]byte, error) {
	fail := func(message, hint string) ([]byte, error) {
		return nil, config.Errors{{Key: "clients.auth", Value: name, Message: fmt.Sprintf("%q %s", name, message), Hint: hint}}
	}
	f, err := os.Open(name)
	if err != nil {
		return fail("cannot be read: "+cause(err).Error(), "htpasswd -c -B -C 10 FILE NAME makes one")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fail("cannot be read: "+cause(err).Error(), "")
	case !info.Mode().IsRegular():
		return fail("is not a regular file", "")
	case info.Mode().Perm()&^0o640 != 0 && runtime.GOOS != "windows": // where modes say nothing
		return fail(fmt.Sprintf("has the mode %04o: others can use the hashes in it", info.Mode().Perm()), "chmod 640 it, or 600")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	switch {
	case err != nil:
		return fail("cannot be read: "+cause(err).Error(), "")
	case len(text) > maxUsersFile:
		return fail("is larger than 16 MiB", "")
	}
	return text, nil
}

// knownUsers are the users that explain may know of: the file is not for everybody who may ask it. It is nil if nobody can be told to be
// unknown.
func knownUsers(cfg *config.Config) (*login.Users, error) {
	if f, err := os.Open(cfg.Clients.Auth); err == nil {
		_ = f.Close() // it is opened again
	} else if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return readUsers(cfg.Clients.Auth)
}
