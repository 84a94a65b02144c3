package tree

import (
	"fmt"
	"strconv"
	"strings"
)

// The children of a znode below /zookeeper/quota (protocol.md 2.13).
const (
	quotaLimits = "zookeeper_limits"
	quotaStats  = "zookeeper_stats"
)

// quotaText is the parsed text of a zookeeper_limits or zookeeper_stats znode; -1 stands for a
// value that is not set.
type quotaText struct {
	count, bytes         int64
	countHard, bytesHard int64
}

// parseQuota reads the text leniently: what it does not understand counts as not set.
func parseQuota(text []byte) quotaText {
	q := quotaText{-1, -1, -1, -1}
	pairs := strings.FieldsFunc(string(text), func(c rune) bool { return c == ',' || c == ';' })
	for _, pair := range pairs {
		parts := strings.Split(pair, "=")
		if len(parts) < 2 {
			continue
		}
		value, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			continue
		}
		switch parts[0] {
		case "count":
			q.count = value
		case "bytes":
			q.bytes = value
		case "countHardLimit":
			q.countHard = value
		case "byteHardLimit":
			q.bytesHard = value
		}
	}
	return q
}

func (q quotaText) text() []byte { return fmt.Appendf(nil, "count=%d,bytes=%d", q.count, q.bytes) }

// quotaOf returns the deepest path at or above the given one that has a quota.
func (t *Tree) quotaOf(path string) (string, bool) {
	if len(t.quotas) == 0 {
		return "", false
	}
	for path != rootKey && path != "/" {
		if t.quotas[path] {
			return path, true
		}
		path, _ = splitPath(path)
	}
	return "", false
}

// countQuota adds to the counts of the quota that path falls under. Every server does so for itself:
// no version changes and no watch fires.
func (t *Tree) countQuota(path string, bytes, count int64) {
	quota, found := t.quotaOf(path)
	if !found {
		return
	}
	statsPath := quotaPath + quota + "/" + quotaStats
	n := t.nodes[statsPath]
	if n == nil {
		return
	}
	stats := parseQuota(n.data)
	stats.count += count
	stats.bytes += bytes
	t.replaceData(statsPath, n, stats.text())
}

// registerQuota takes note of a quota whose limits or stats were created, if this is one. It counts
// anew in both cases, so that the stats of a quota with limits are always exact.
func (t *Tree) registerQuota(parentPath, name string) {
	if !strings.HasPrefix(parentPath, quotaPath+"/") || name != quotaLimits && name != quotaStats {
		return
	}
	limited := strings.TrimPrefix(parentPath, quotaPath)
	if name == quotaLimits {
		t.quotas[limited] = true
	}
	t.recountQuota(limited)
}

func (t *Tree) quotaAfterDelete(path string, n *node) {
	parentPath, name := splitPath(path)
	if name == quotaLimits && strings.HasPrefix(parentPath, quotaPath+"/") {
		delete(t.quotas, strings.TrimPrefix(parentPath, quotaPath))
	}
	t.countQuota(path, -int64(len(n.data)), -1)
}

// recountQuota counts what is at and below a path and puts it into the quota's stats.
func (t *Tree) recountQuota(path string) {
	statsPath := quotaPath + path + "/" + quotaStats
	statsNode := t.nodes[statsPath]
	if statsNode == nil {
		return
	}
	var stats quotaText
	if n := t.nodes[path]; n != nil {
		t.walk(path, n, func(_ string, n *node) bool {
			stats.count++
			stats.bytes += int64(len(n.data))
			return true
		})
	}
	t.replaceData(statsPath, statsNode, stats.text())
}

// restoreQuotas finds the quotas of a tree that was read from a snapshot and counts them anew.
func (t *Tree) restoreQuotas() {
	n := t.nodes[quotaPath]
	if n == nil {
		return
	}
	var limited []string
	t.walk(quotaPath, n, func(path string, _ *node) bool {
		if quota, isLimits := strings.CutSuffix(strings.TrimPrefix(path, quotaPath), "/"+quotaLimits); isLimits && quota != rootKey {
			limited = append(limited, quota)
		}
		return true
	})
	for _, path := range limited {
		t.quotas[path] = true
		t.recountQuota(path)
	}
}

// QuotaExcess is which of a quota's limits a change would exceed.
type QuotaExcess uint8

// The kinds of excess.
const (
	WithinQuota   QuotaExcess = iota
	OverSoftLimit             // of which the server warns
	OverHardLimit             // which is refused
)

// CheckQuota tells whether so many more bytes and znodes would exceed the limits of the quota that path falls under,
// and the path which that quota is for. It looks at the counts as they are, not at transactions under way.
func (t *Tree) CheckQuota(path string, bytes, count int64) (excess QuotaExcess, quota string) {
	quota, found := t.quotaOf(path)
	if !found {
		return WithinQuota, ""
	}
	limits, stats := t.nodes[quotaPath+quota+"/"+quotaLimits], t.nodes[quotaPath+quota+"/"+quotaStats]
	if limits == nil || stats == nil {
		return WithinQuota, quota
	}
	limit, current := parseQuota(limits.data), parseQuota(stats.data)
	switch {
	case exceeds(current.count, count, limit.countHard), exceeds(current.bytes, bytes, limit.bytesHard):
		return OverHardLimit, quota
	case exceeds(current.count, count, limit.count), exceeds(current.bytes, bytes, limit.bytes):
		return OverSoftLimit, quota
	}
	return WithinQuota, quota
}

func exceeds(current, more, limit int64) bool { return more != 0 && limit >= 0 && current+more > limit }
