package results

import (
	"encoding/xml"
	"fmt"
	"strings"

	"ordeal/results/judgement"
)

type junitSuite struct {
	XMLName    xml.Name        `xml:"testsuite"`
	Name       string          `xml:"name,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Time       string          `xml:"time,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes a verdict as JUnit's XML, which build servers show: one case a guarantee, and one for
// the run itself. A violation is a failure, what is unknown an error.
func JUnit(run Run, v Verdict) ([]byte, error) {
	suite := junitSuite{
		Name: "ordeal." + run.Name, Timestamp: run.Started.UTC().Format("2006-01-02T15:04:05"),
		Time: fmt.Sprintf("%.3f", v.DurationSeconds),
		Properties: []junitProperty{
			{"verdict", v.Verdict}, {"driver", v.Driver}, {"implementation", v.Implementation},
			{"seed", fmt.Sprint(v.Seed)}, {"results", v.Results}, {"rerun", v.Rerun},
		},
	}
	whole := junitCase{Class: suite.Name, Name: "run"}
	if v.Verdict == Failed {
		whole.Error = &junitMessage{Message: v.Reason}
	}
	suite.add(whole)
	for _, c := range v.Checkers {
		test := junitCase{Class: suite.Name, Name: c.Name}
		message := &junitMessage{Message: c.Reason, Text: strings.Join(c.Evidence, "\n")}
		switch c.Verdict {
		case judgement.Violation:
			message.Message = "broken: " + c.Guarantee
			test.Failure = message
		case judgement.Unknown:
			test.Error = message
		case judgement.Skipped:
			test.Skipped = message
		default:
			test.Output = strings.Join(append([]string{fmt.Sprintf("judged %d", c.Judged)}, c.Evidence...), "\n")
		}
		suite.add(test)
	}
	data, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", JUnitFile, err)
	}
	return append([]byte(xml.Header), append(data, '\n')...), nil
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}
