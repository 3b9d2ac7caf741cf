package words

import "slices"

// Token is one that an index looks up.
type Token struct {
	Text string
	// Prefix says that tokens are meant which begin with Text.
	Prefix bool
}

// Tokens returns the tokens of an event's data, of which an index keeps each once or as
// often as it comes. A token consists of letters, digits and marks: no space, no quote,
// and nothing else that is ASCII. Words are cut after 48 characters. Of a run of a
// script that does not separate words each two neighbours are a token, and the last one.
func Tokens(data []byte) []string {
	tokens, _ := tokensOf(data)
	return tokens
}

// tokensOf returns the tokens of an event's data, and how many words and runs it has.
func tokensOf(data []byte) (tokens []string, length int) {
	eachRun(data, func(k kind, chars []char) {
		length++
		if k == word {
			tokens = append(tokens, text(chars[:min(len(chars), maxToken)]))
			return
		}
		for i := range chars {
			tokens = append(tokens, text(chars[i:min(i+2, len(chars))]))
		}
	})
	return tokens, length
}

func text(chars []char) string {
	runes := make([]rune, len(chars))
	for i := range chars {
		runes[i] = chars[i].r
	}
	return string(runes)
}

// Tokens returns the tokens that an event has which Find finds something in, each once:
// all of them.
func (q *Query) Tokens() []Token {
	var all []Token
	add := func(t Token) {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	for i := range q.terms {
		switch t := &q.terms[i]; {
		case t.kind == word:
			add(Token{string(t.runes[:min(len(t.runes), maxToken)]), t.prefix && len(t.runes) < maxToken})
		case len(t.runes) == 1:
			add(Token{string(t.runes), true})
		default:
			for n := 2; n <= len(t.runes); n++ {
				add(Token{Text: string(t.runes[n-2 : n])})
			}
		}
	}
	return all
}
