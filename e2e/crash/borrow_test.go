package crash

import (
	"errors"
	"fmt"
	"strings"
)

// prepareLend brings lend up, has its owner write into what it lends, and changes
// the owner, so that both are recreated.
func prepareLend(w *world) error {
	return errors.Join(
		w.write("lend/compose.yaml", fmt.Sprintf(lendYAML, "1")), w.must("lend", "up", "-d"),
		w.must("lend", "exec", "-T", "owner", "sh", "-c", "echo kept > /lent/file"),
		w.write("lend/compose.yaml", fmt.Sprintf(lendYAML, "2")),
	)
}

// lendIsWhole: both are new, run, and have the one volume with what was in it.
func (w *world) lendIsWhole(t *trial) error {
	err := eventually(func() error {
		rows, err := w.ps("lend")
		for _, name := range []string{"owner-1", "borrower-1"} {
			if err == nil && rows[name].State != "running" {
				err = fmt.Errorf("%s is %q", name, rows[name].State)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	o, err := w.run("lend", "exec", "-T", "owner", "sh", "-c", "echo $STAMP; cat /lent/file; echo new > /lent/new")
	if err == nil && o.stdout != "2\nkept\n" {
		err = fmt.Errorf("the owner has %q: %s", o.stdout, lastLines(o.stderr))
	}
	if err != nil {
		return err
	}
	o, err = w.run("lend", "exec", "-T", "borrower", "cat", "/lent/file", "/lent/new")
	if err == nil && o.stdout != "kept\nnew\n" {
		err = fmt.Errorf("the borrower has %q: %s", o.stdout, lastLines(o.stderr))
	}
	if err != nil {
		return err
	}
	if o, err = w.run("lend", "up", "-d", "--dry-run"); err == nil && strings.Contains(o.stderr, "Recreate") {
		err = fmt.Errorf("the next up would change: %s", o.stderr)
	}
	return err
}
