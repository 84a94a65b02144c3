package workloads

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ordeal/results/history"
)

const (
	bankAccounts = 5
	bankBalance  = 100 // of each account at first
	bankTransfer = 10  // at most, at a time
)

// bank moves money between the accounts of a bank. A bank is a znode /ordeal-bank/b<group>-<slot>-<part>
// and its accounts are the children a0 to a4, all created by one multi. An account's value is its
// balance and a unique word: "95 c3-17". Every transfer is a multi of two sets with versions, every
// audit a multi of checks of all versions read before: if it succeeds, the balances read were there
// together. The sum of a bank's balances is always the same.
type bank struct{ description }

func newBank() Workload {
	return bank{description{
		name:       "bank",
		summary:    "transfers between accounts by multi, and audits; shows multis carried out in part",
		clientsMin: 2,
		checkers:   []string{"linearizable", "multi", "session-order", "durability"},
	}}
}

func (w bank) Clients(n int, seed uint64) []Client {
	return clients(n, seed, func(a actor) *bankClient {
		return &bankClient{actor: a, root: w.Root()}
	})
}

type bankClient struct {
	actor
	root       string
	generation generation
	open       bool // the bank of this generation exists
	accounts   [bankAccounts]account
	distrust   bool // a version was out of date: read after sync
}

// account is what a client knows of an account.
type account struct {
	known   bool
	balance int
	version int32
}

func (c *bankClient) bank() string { return c.root + "/b" + c.generation.name(c.group) }

func (c *bankClient) path(account int) string { return fmt.Sprintf("%s/a%d", c.bank(), account) }

func (c *bankClient) value(balance int) string { return fmt.Sprintf("%d %s", balance, c.unique()) }

func (c *bankClient) Next(now time.Duration) Step {
	if c.generation.advance(now) {
		c.open, c.accounts = false, [bankAccounts]account{}
	}
	if !c.open {
		return c.create()
	}
	for i, a := range c.accounts {
		if !a.known {
			kind := history.Get
			if c.distrust {
				kind = history.SyncGet
			}
			return do(history.Request{Kind: kind, Path: c.path(i)})
		}
	}
	if c.chance(25) {
		return c.audit()
	}
	return c.transfer()
}

func (c *bankClient) create() Step {
	parts := []history.Request{{Kind: history.Create, Path: c.bank(), Value: c.unique()}}
	for i := range bankAccounts {
		parts = append(parts, history.Request{Kind: history.Create, Path: c.path(i), Value: c.value(bankBalance)})
	}
	return do(history.Request{Kind: history.Multi, Path: c.bank(), Parts: parts})
}

func (c *bankClient) audit() Step {
	var parts []history.Request
	for i, a := range c.accounts {
		parts = append(parts, history.Request{Kind: history.Check, Path: c.path(i), Version: a.version})
	}
	return do(history.Request{Kind: history.Multi, Path: c.bank(), Parts: parts})
}

// transfer moves money. One in ten asks for a version of the second account that cannot be: it must
// fail and leave nothing behind.
func (c *bankClient) transfer() Step {
	from := c.random.IntN(bankAccounts)
	to := (from + 1 + c.random.IntN(bankAccounts-1)) % bankAccounts
	if c.accounts[from].balance == 0 {
		from, to = to, from
	}
	amount := 0
	if most := min(bankTransfer, c.accounts[from].balance); most > 0 {
		amount = 1 + c.random.IntN(most)
	}
	const impossible = 1_000_000
	versionTo := c.accounts[to].version
	if c.chance(10) {
		versionTo += impossible
	}
	return do(history.Request{Kind: history.Multi, Path: c.bank(), Parts: []history.Request{
		{Kind: history.Set, Path: c.path(from), Value: c.value(c.accounts[from].balance - amount), Version: c.accounts[from].version},
		{Kind: history.Set, Path: c.path(to), Value: c.value(c.accounts[to].balance + amount), Version: versionTo},
	}})
}

func (c *bankClient) Return(request history.Request, result history.Result) {
	switch {
	case request.Kind != history.Multi:
		c.read(request.Path, result)
	case request.Parts[0].Kind == history.Create:
		c.open = exists(result)
	case ok(result):
		c.distrust = false
		for i, part := range request.Parts {
			if part.Kind == history.Set {
				a, _ := c.account(part.Path)
				a.balance, a.version = balance(part.Value), result.Parts[i].Stat.Version
			}
		}
	default:
		c.distrust = true
		for _, part := range request.Parts {
			a, _ := c.account(part.Path)
			a.known = false
		}
	}
}

func (c *bankClient) read(path string, result history.Result) {
	a, own := c.account(path)
	if !own || !ok(result) {
		c.distrust = true
		return
	}
	*a = account{known: true, balance: balance(result.Value), version: result.Stat.Version}
}

// account finds an account of the current bank by its path.
func (c *bankClient) account(path string) (*account, bool) {
	for i := range c.accounts {
		if c.path(i) == path {
			return &c.accounts[i], true
		}
	}
	return nil, false
}

// balance is the number at the head of an account's value. Values are our own: one that is none is a
// mistake in this file, or an ensemble that answers with another znode's data.
func balance(value string) int {
	word, _, _ := strings.Cut(value, " ")
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0
	}
	return n
}

func (c *bankClient) Notify(history.Event) {}
