package harness

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
)

// programPackage is the main package of the program that members and agents run.
const programPackage = "ordeal/harness/cmd/ordeal"

// resolveProgram finds the program that members and agents run: the one that the plan names, else this
// one, else the one on PATH. It must be an ordeal: any other program that is started as a member does
// its own work instead, and a test binary would run the tests that start it, again and again.
func (p *Plan) resolveProgram() error {
	if p.Binary != "" {
		if err := checkProgram(p.Binary); err != nil {
			return usage("Plan.Binary: %v", err)
		}
		return nil
	}
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program that members run: %w", err)
	}
	unfit := checkProgram(own)
	if unfit == nil {
		p.Binary = own
		return nil
	}
	if found, err := exec.LookPath("ordeal"); err == nil && checkProgram(found) == nil {
		p.Binary = found
		return nil
	}
	return usage("no program for the members to run: Plan.Binary is empty, there is no ordeal on PATH, and %v; build one with go build -o ordeal %s and name it",
		unfit, programPackage)
}

// checkProgram refuses a file that is not the ordeal program. Go writes the main package's path into
// every program that it builds.
func checkProgram(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s is no program built by Go: %w", path, err)
	}
	if info.Path != programPackage {
		return fmt.Errorf("%s is built from %s, not from %s", path, info.Path, programPackage)
	}
	return nil
}
