package repository

import (
	"fmt"
	"strings"
)

// tally counts what a prefetch has done.
type tally struct {
	// versions are mirrored ones, of total.
	versions, total int
	// files are those that were fetched, bytes what they have.
	files, bytes int64
	// failures are the first ones, of failed.
	failures []string
	failed   int
}

func (t *tally) fail(what string, err error) {
	t.failed++
	if len(t.failures) < maxTold {
		t.failures = append(t.failures, what+": "+err.Error())
	}
}

// String is the result for people. The failures are in the error beside it.
func (t *tally) String() string {
	return fmt.Sprintf("%d of %d mirrored, %d files (%s) fetched", t.versions, t.total, t.files, size(t.bytes))
}

// size writes a number of bytes for people, in powers of 1000.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for ; value >= 999.95 && unit < len(units)-1; unit++ {
		value /= 1000
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}

func (p *prefetch) begin(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.total = total
	p.to.Set(0, int64(total))
}

// end takes in what came of a version.
func (p *prefetch) end(v version, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.tally.fail(v.String(), err)
	} else {
		p.tally.versions++
	}
	p.to.Set(int64(p.tally.versions+p.tally.failed), int64(p.tally.total))
	p.tell()
}

// fetched takes in a file that came from upstream.
func (p *prefetch) fetched(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.files++
	p.tally.bytes += bytes
	p.tell()
}

// tell says how far it is. The caller has the lock.
func (p *prefetch) tell() {
	text := p.tally.String()
	if p.tally.failed > 0 {
		text += fmt.Sprintf(", %d failed", p.tally.failed)
	}
	p.to.Message(text)
}

// failed is the error at the end; nil when nothing failed.
func (p *prefetch) failed() error {
	t := &p.tally
	if t.failed == 0 {
		return nil
	}
	text := strings.Join(t.failures, "; ")
	if more := t.failed - len(t.failures); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Errorf("%d failed: %s", t.failed, text)
}
