package tree

import "unicode/utf8"

// AppendJSON appends the node as compact JSON, with keys in their order.
func (n *Node) AppendJSON(out []byte) []byte {
	switch n.Kind {
	case Null:
		return append(out, "null"...)
	case Bool, Integer, Float:
		return append(out, n.Text...)
	case String:
		return AppendString(out, n.Text)
	case Array:
		out = append(out, '[')
		for i, item := range n.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.AppendJSON(out)
		}
		return append(out, ']')
	default:
		out = append(out, '{')
		for i, m := range n.Members {
			if i > 0 {
				out = append(out, ',')
			}
			out = AppendString(out, m.Key)
			out = append(out, ':')
			out = m.Value.AppendJSON(out)
		}
		return append(out, '}')
	}
}

// AppendString appends text as a JSON string. It escapes only the characters that
// JSON requires to be escaped. Bytes that are not UTF-8 become U+FFFD.
func AppendString(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			out = append(out, c)
		default:
			r, size := utf8.DecodeRuneInString(text[i:])
			out = utf8.AppendRune(out, r)
			i += size
			continue
		}
		i++
	}
	return append(out, '"')
}
