package tree

import (
	"errors"
	"fmt"
	"strings"
)

// The znodes that every tree has.
const (
	zookeeperPath = "/zookeeper"
	quotaPath     = "/zookeeper/quota"
	// ConfigPath holds the text of the ensemble's membership.
	ConfigPath = "/zookeeper/config"
)

// rootKey is the root's path inside the tree and in snapshots; clients call it "/".
const rootKey = ""

// IsReserved tells whether path is one of the znodes that cannot be deleted (protocol.md 2.7).
func IsReserved(path string) bool {
	return path == "/" || path == zookeeperPath || path == quotaPath || path == ConfigPath
}

// ValidatePath says what is wrong with a znode's full path, by the rules of protocol.md 2.7
// (Apache's PathUtils), or returns nil.
func ValidatePath(path string) error {
	switch {
	case path == "":
		return errors.New("path is empty")
	case path[0] != '/':
		return fmt.Errorf("path %q does not start with /", path)
	case path == "/":
		return nil
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("path %q ends with /", path)
	}
	for element := range strings.SplitSeq(path[1:], "/") {
		switch element {
		case "":
			return fmt.Errorf("path %q has an empty element", path)
		case ".", "..":
			return fmt.Errorf("path %q is relative", path)
		}
	}
	for _, c := range path {
		if !allowedInPath(c) {
			return fmt.Errorf("path %q contains the forbidden character %U", path, c)
		}
	}
	return nil
}

// allowedInPath rejects control characters, surrogates (which in UTF-16 are all characters beyond
// 0xFFFF), the private range and specials. Invalid UTF-8 shows as U+FFFD, one of the last.
func allowedInPath(c rune) bool {
	return c > 0x1f && !(c >= 0x7f && c <= 0x9f) && !(c >= 0xd800 && c <= 0xf8ff) && c < 0xfff0
}

// Parent returns the path of a znode's parent as clients call it. The path must not be the root.
func Parent(path string) string {
	parent, _ := splitPath(path)
	if parent == rootKey {
		return "/"
	}
	return parent
}

// isFullPath is the least that a transaction's path has to be: one that splitPath can divide.
func isFullPath(path string) bool { return strings.HasPrefix(path, "/") }

// splitPath divides a full path at its last slash. The parent is "" for children of the root.
func splitPath(path string) (parent, child string) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		panic(fmt.Sprintf("tree: expected a path with a slash, found %q", path))
	}
	return path[:slash], path[slash+1:]
}

// key turns a client's path into the tree's.
func key(path string) string {
	if path == "/" {
		return rootKey
	}
	return path
}

// clientPath turns the tree's path into the client's.
func clientPath(key string) string {
	if key == rootKey {
		return "/"
	}
	return key
}
