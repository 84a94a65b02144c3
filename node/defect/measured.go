package defect

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// readme holds the tables that "make catalogue" writes: what people read is what programs tell.
//
//go:embed README.md
var readme string

// Measured is how fast the simulator finds a defect.
type Measured struct {
	Defect     Name
	Guarantees []string // that broke, the most frequent first
	FoundIn    int      // ranges of seeds
	Ranges     int
	Events     int     // median, over ranges
	CPUSeconds float64 // median
	Decisions  int     // left once the first find is shrunk
	Control    bool    // the sound node holds under the same decisions
}

// A Table is lines of a page between two marks, a row for each defect, which its second cell names.
type Table struct {
	mark string
	head string // its first two lines
}

// The tables of the README.
var (
	Speed = Table{"measured", "| issue | defect | what breaks | found in | events (median) | CPU s (median) | decisions left | control holds |\n" +
		"|---|---|---|---|---|---|---|---|\n"}
	ByStrategy = Table{"strategies", "| issue | defect | swarm | walk | pct |\n|---|---|---|---|---|\n"}
)

// cut splits a page into what comes before a table, its rows by defect, and what comes after.
func (t Table) cut(page string) (before string, rows map[Name]string, after string, err error) {
	begin, end := "<!-- "+t.mark+": begin -->\n", "<!-- "+t.mark+": end -->\n"
	before, rest, found := strings.Cut(page, begin)
	table, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		return "", nil, "", fmt.Errorf("the page has no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	rows = map[Name]string{}
	for line := range strings.Lines(table) {
		if strings.Contains(t.head, line) {
			continue
		}
		cells := cells(line)
		if len(cells) < 2 {
			return "", nil, "", fmt.Errorf("table %s, row %q: it has too few cells", t.mark, line)
		}
		rows[Name(cells[1])] = line
	}
	return before + begin, rows, end + after, nil
}

// With is the page with this row in its table, in the catalogue's order.
func (t Table) With(page string, name Name, row string) (string, error) {
	before, rows, after, err := t.cut(page)
	if err != nil {
		return "", err
	}
	rows[name] = row
	table := t.head
	for _, d := range Catalogue {
		table += rows[d.Name]
	}
	return before + table + after, nil
}

func cells(line string) []string { return strings.Split(strings.Trim(line, "| \n"), " | ") }

// Measurements are those that this program was built with.
func Measurements() (map[Name]Measured, error) {
	_, rows, _, err := Speed.cut(readme)
	if err != nil {
		return nil, err
	}
	found := map[Name]Measured{}
	for name, line := range rows { // any order: it fills another map
		if found[name], err = parseRow(line); err != nil {
			return nil, fmt.Errorf("measured table, row %q: %w", line, err)
		}
	}
	return found, nil
}

func parseRow(line string) (m Measured, err error) {
	cells := cells(line)
	if len(cells) != 8 {
		return m, fmt.Errorf("it has %d cells, want 8", len(cells))
	}
	m.Defect = Name(cells[1])
	if _, known := Find(m.Defect); !known {
		return m, fmt.Errorf("no defect is called %q", cells[1])
	}
	if cells[2] != "-" {
		m.Guarantees = strings.Split(cells[2], ", ")
	}
	if _, err = fmt.Sscanf(cells[3], "%d of %d", &m.FoundIn, &m.Ranges); err != nil {
		return m, err
	}
	if m.Events, err = strconv.Atoi(cells[4]); err != nil {
		return m, err
	}
	if m.CPUSeconds, err = strconv.ParseFloat(cells[5], 64); err != nil {
		return m, err
	}
	if m.Decisions, err = strconv.Atoi(cells[6]); err != nil {
		return m, err
	}
	m.Control = cells[7] == "yes"
	return m, nil
}

// Row is the measurement's line in the table.
func (m Measured) Row() string {
	description, _ := Find(m.Defect)
	breaks, control := "-", "no"
	if len(m.Guarantees) > 0 {
		breaks = strings.Join(m.Guarantees, ", ")
	}
	if m.Control {
		control = "yes"
	}
	return fmt.Sprintf("| %s | %s | %s | %d of %d | %d | %.2f | %d | %s |\n", description.Issue, m.Defect, breaks,
		m.FoundIn, m.Ranges, m.Events, m.CPUSeconds, m.Decisions, control)
}
