package instant

import "strconv"

// Error says why a text names no instant, date or zone. It is the only type of error of this package.
type Error struct {
	Kind   string // what was to be read: "instant", "date", "zone" or "word"
	Input  string // the text as it came
	Reason string // what is wrong, lower case, without a full stop
	Hint   string // what to write instead
}

// Error returns one line of ASCII: the input, shortened to 100 bytes, the reason and the hint.
func (e *Error) Error() string {
	shown := e.Input
	if len(shown) > maxShown {
		shown = shown[:maxShown]
	}
	return e.Kind + " " + strconv.QuoteToASCII(shown) + ": " + e.Reason + "; " + e.Hint
}

const maxShown = 100

func fail(input, reason, hint string) *Error {
	return &Error{Kind: "instant", Input: input, Reason: reason, Hint: hint}
}
