package sasl

import (
	"errors"
	"fmt"
	"strings"
)

// directives are the name=value pairs of a response, names in lower case. Those that say nothing to this server are
// kept too.
type directives map[string]string

// parseDirectives reads pairs with commas and perhaps space between them; a value is a word, or stands in quotes with
// backslashes before what would end it (RFC 2831, 7.1 and 7.2).
func parseDirectives(token []byte) (directives, error) {
	all := directives{}
	text := string(token)
	for {
		text = strings.TrimLeft(text, ", \t\r\n")
		if text == "" {
			return all, nil
		}
		name, rest, found := strings.Cut(text, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !found || name == "" {
			return nil, fmt.Errorf("sasl: %q in the response is not of the form name=value", text)
		}
		value, rest, err := parseValue(strings.TrimLeft(rest, " \t\r\n"))
		if err != nil {
			return nil, fmt.Errorf("sasl: %s in the response: %w", name, err)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("sasl: the response has %s twice", name)
		}
		all[name] = value
		text = strings.TrimLeft(rest, " \t\r\n")
		if text != "" && text[0] != ',' {
			return nil, fmt.Errorf("sasl: %q in the response where a comma should be", text)
		}
	}
}

// parseValue reads the value that text begins with.
func parseValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ", \t\r\n")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	var unquoted strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return unquoted.String(), text[i+1:], nil
		case '\\':
			if i++; i == len(text) {
				return "", "", errors.New("a quote without an end")
			}
		}
		unquoted.WriteByte(text[i])
	}
	return "", "", errors.New("a quote without an end")
}
