package server

import (
	"fmt"
	"strings"
)

// jaasEntry is one login module of a section of a JAAS file, the format in which Java's programs are told how to
// authenticate:
//
//	Server {
//	    org.apache.zookeeper.server.auth.DigestLoginModule required
//	    user_bob="secret";
//	};
type jaasEntry struct {
	module  string
	options map[string]string
}

// parseJAAS reads a JAAS file and returns its sections by name.
func parseJAAS(text string) (map[string][]jaasEntry, error) {
	tokens, err := jaasTokens(text)
	if err != nil {
		return nil, err
	}
	p := jaasParser{tokens: tokens}
	sections := map[string][]jaasEntry{}
	for len(p.tokens) > 0 && p.err == nil {
		name := p.word()
		p.expect("{")
		entries := []jaasEntry{}
		for p.err == nil && !p.take("}") {
			entries = append(entries, p.entry())
		}
		p.expect(";")
		if _, twice := sections[name]; twice && p.err == nil {
			p.err = fmt.Errorf("section %s is there twice", name)
		}
		sections[name] = entries
	}
	return sections, p.err
}

// jaasToken is a word, or one of { } ; = by itself.
type jaasToken struct {
	text   string
	quoted bool
	line   int
}

const jaasPunctuation = "{};="

func jaasTokens(text string) ([]jaasToken, error) {
	var tokens []jaasToken
	line := 1
	for len(text) > 0 {
		switch c := text[0]; {
		case c == '\n':
			line++
			text = text[1:]
		case c == ' ' || c == '\t' || c == '\r':
			text = text[1:]
		case c == '#' || strings.HasPrefix(text, "//"):
			end := strings.IndexByte(text, '\n')
			if end < 0 {
				end = len(text)
			}
			text = text[end:]
		case strings.HasPrefix(text, "/*"):
			comment, rest, closed := strings.Cut(text[2:], "*/")
			if !closed {
				return nil, fmt.Errorf("line %d: a comment without an end", line)
			}
			line += strings.Count(comment, "\n")
			text = rest
		case strings.IndexByte(jaasPunctuation, c) >= 0:
			tokens = append(tokens, jaasToken{text: text[:1], line: line})
			text = text[1:]
		case c == '"':
			value, rest, closed := unquoteJAAS(text[1:])
			if !closed {
				return nil, fmt.Errorf("line %d: a quote without an end", line)
			}
			tokens = append(tokens, jaasToken{text: value, quoted: true, line: line})
			text = rest
		default:
			end := strings.IndexAny(text, jaasPunctuation+"\" \t\r\n")
			if end < 0 {
				end = len(text)
			}
			tokens = append(tokens, jaasToken{text: text[:end], line: line})
			text = text[end:]
		}
	}
	return tokens, nil
}

// unquoteJAAS reads up to the quote that ends a value; a backslash stands before a character that is meant as it is.
func unquoteJAAS(text string) (value, rest string, closed bool) {
	var unquoted strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return unquoted.String(), text[i+1:], true
		case c == '\n':
			return "", "", false
		case c == '\\' && i+1 < len(text):
			i++
		}
		unquoted.WriteByte(text[i])
	}
	return "", "", false
}

// jaasParser takes tokens from the front. After the first error it takes no more.
type jaasParser struct {
	tokens []jaasToken
	err    error
}

func (p *jaasParser) fail(wanted string) {
	switch {
	case p.err != nil:
	case len(p.tokens) == 0:
		p.err = fmt.Errorf("the file ends where %s should be", wanted)
	default:
		p.err = fmt.Errorf("line %d: %q where %s should be", p.tokens[0].line, p.tokens[0].text, wanted)
	}
}

func (p *jaasParser) take(punctuation string) bool {
	if p.err != nil || len(p.tokens) == 0 || p.tokens[0].quoted || p.tokens[0].text != punctuation {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *jaasParser) expect(punctuation string) {
	if !p.take(punctuation) {
		p.fail(punctuation)
	}
}

func (p *jaasParser) word() string {
	if p.err != nil || len(p.tokens) == 0 || !p.tokens[0].quoted && strings.Contains(jaasPunctuation, p.tokens[0].text) {
		p.fail("a name or a value")
		return ""
	}
	word := p.tokens[0].text
	p.tokens = p.tokens[1:]
	return word
}

// entry reads a module, the flag that says how much its success matters, and its options.
func (p *jaasParser) entry() jaasEntry {
	entry := jaasEntry{module: p.word(), options: map[string]string{}}
	if flag := strings.ToLower(p.word()); p.err == nil && flag != "required" && flag != "requisite" && flag != "sufficient" && flag != "optional" {
		p.err = fmt.Errorf("module %s is %q: want required, requisite, sufficient or optional", entry.module, flag)
	}
	for p.err == nil && !p.take(";") {
		name := p.word()
		p.expect("=")
		entry.options[name] = p.word()
	}
	return entry
}
