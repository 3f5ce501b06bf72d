package main

import (
	"net/url"
	"regexp"
	"strings"
)

// The address of a server on a Unix socket has two forms. libpq reads both. Go's url reads
// only the one with the socket's folder in the query, and Ruby's URI, which ActiveRecord
// and Sequel use, only the one with the folder as an escaped host.

// hostForm matches the second form, up to the end of the host.
var hostForm = regexp.MustCompile(`^(postgres(?:ql)?://(?:[^/?#@]*@)?)(%2[Ff][^/?#:@]*)(?::(\d+))?`)

// forGo returns an address in the first form, and any other address as it is.
func forGo(address string) string {
	m := hostForm.FindStringSubmatch(address)
	if m == nil {
		return address
	}
	rest, fragment, _ := strings.Cut(address[len(m[0]):], "#")
	path, query, _ := strings.Cut(rest, "?")
	added := "host=" + m[2]
	if m[3] != "" {
		added += "&port=" + m[3]
	}
	if query != "" {
		added += "&" + query
	}
	if fragment != "" {
		added += "#" + fragment
	}
	return m[1] + path + "?" + added
}

// forRuby returns an address in the second form. Other addresses, which Ruby reads or which
// the user has written, stay as they are.
func forRuby(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host != "" || u.User == nil {
		return address
	}
	query := u.Query()
	host := query.Get("host")
	if !strings.HasPrefix(host, "/") {
		return address
	}
	place := u.User.String() + "@" + strings.ReplaceAll(url.QueryEscape(host), "+", "%20")
	if port := query.Get("port"); port != "" {
		place += ":" + port
	}
	query.Del("host")
	query.Del("port")
	text := u.Scheme + "://" + place + u.EscapedPath()
	if rest := queryForLibpq(query); rest != "" {
		text += "?" + rest
	}
	return text
}

// queryForLibpq returns a query in which spaces are escaped: libpq does not take + for one.
func queryForLibpq(query url.Values) string {
	return strings.ReplaceAll(query.Encode(), "+", "%20")
}
