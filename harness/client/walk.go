package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ordeal/results/history"
)

const (
	// walkInFlight is how many requests a walk has on the way at once.
	walkInFlight = 512
	// walkNodesMax bounds the znodes, and so the memory, of one walk.
	walkNodesMax = 1 << 20
)

// WalkOptions say what to walk, and how patiently.
type WalkOptions struct {
	// Roots are the znodes below which everything is read, themselves included. One that is not there
	// is no error.
	Roots          []string
	SessionTimeout time.Duration
	RequestTimeout time.Duration
}

// Tree is what one member holds.
type Tree struct {
	Member int
	// Zxid is that of the last reply: nothing in the tree is younger.
	Zxid  int64
	Nodes []history.Node // sorted by path
}

// Record writes a Znode event for every znode of the tree.
func (t Tree) Record(recorder history.Recorder, now func() time.Duration) {
	for i := range t.Nodes {
		recorder.Record(history.Event{Time: now(), Kind: history.Znode, Member: t.Member, Node: &t.Nodes[i]})
	}
}

// Walk reads everything below the given roots from one member, after a sync. Its own requests are not
// recorded. The tree should be at rest: what is created meanwhile may be missed.
func Walk(ctx context.Context, member Member, options WalkOptions) (Tree, error) {
	tree, err := walk(ctx, member, options)
	if err != nil {
		return Tree{}, fmt.Errorf("walk the tree of member %d: %w", member.Number, err)
	}
	return tree, nil
}

func walk(ctx context.Context, member Member, options WalkOptions) (_ Tree, err error) {
	began := time.Now()
	c, err := New(Options{
		Client: 1, Members: []Member{member}, InFlight: walkInFlight,
		SessionTimeout: options.SessionTimeout, RequestTimeout: options.RequestTimeout,
		Recorder: nowhere{}, Now: func() time.Duration { return time.Since(began) }, Numbers: new(Numbers),
	})
	if err != nil {
		return Tree{}, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()

	if _, err := walkAnswer(ctx, c.Start(history.Request{Kind: history.Sync, Path: "/"})); err != nil {
		return Tree{}, err
	}
	w := walker{ctx: ctx, client: c, tree: Tree{Member: member.Number}}
	for _, root := range options.Roots {
		w.todo = append(w.todo, history.Request{Kind: history.Get, Path: root})
	}
	for len(w.todo) > 0 || len(w.asked) > 0 {
		for len(w.todo) > 0 && len(w.asked) < walkInFlight {
			w.ask()
		}
		if err := w.arrive(); err != nil {
			return Tree{}, err
		}
	}
	slices.SortFunc(w.tree.Nodes, func(a, b history.Node) int { return strings.Compare(a.Path, b.Path) })
	return w.tree, nil
}

// walker keeps many requests on the way. Replies come in the order of the requests. A znode is read
// first, and its children listed if it has any: most znodes are leaves.
type walker struct {
	ctx    context.Context
	client *Client
	tree   Tree
	todo   []history.Request // the last is asked next
	asked  []*Pending        // and not yet answered
}

func (w *walker) ask() {
	last := len(w.todo) - 1
	w.asked = append(w.asked, w.client.Start(w.todo[last]))
	w.todo = w.todo[:last]
}

func (w *walker) arrive() error {
	p := w.asked[0]
	w.asked = w.asked[1:]
	result, err := walkAnswer(w.ctx, p)
	if err != nil {
		return err
	}
	w.tree.Zxid = max(w.tree.Zxid, result.Zxid)
	switch path := p.request.Path; {
	case result.Outcome != history.OK: // it is gone
	case p.request.Kind == history.Children:
		for _, child := range result.Children {
			w.todo = append(w.todo, history.Request{Kind: history.Get, Path: strings.TrimSuffix(path, "/") + "/" + child})
		}
	case len(w.tree.Nodes) == walkNodesMax:
		return fmt.Errorf("more than %d znodes", walkNodesMax)
	default:
		w.tree.Nodes = append(w.tree.Nodes, history.Node{Path: path, Value: result.Value, Stat: *result.Stat})
		if result.Stat.NumChildren > 0 {
			w.todo = append(w.todo, history.Request{Kind: history.Children, Path: path})
		}
	}
	return nil
}

// walkAnswer waits for a reply; that a znode is not there is none the worse.
func walkAnswer(ctx context.Context, p *Pending) (history.Result, error) {
	a, err := p.wait(ctx)
	if err != nil {
		return history.Result{}, err
	}
	if a.Result.Outcome != history.OK && a.Result.Error != "NoNode" {
		return history.Result{}, fmt.Errorf("%s %s: %s", p.request.Kind, p.request.Path, a.Result.Error)
	}
	return a.Result, nil
}

// nowhere forgets what is recorded.
type nowhere struct{}

func (nowhere) Record(history.Event) {}
