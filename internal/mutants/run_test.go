//go:build mutants

package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryRuleIsNeeded(t *testing.T) {
	root, err := filepath.Abs(root)
	require.NoError(t, err)
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(root, m.file))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(source), m.old), "the rule is not where it was")
			dir := t.TempDir()
			broken := filepath.Join(dir, "broken.go")
			require.NoError(t, os.WriteFile(broken, bytes.Replace(source, []byte(m.old), []byte(m.new), 1), 0o600))
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): broken}})
			require.NoError(t, err)
			overlayFile := filepath.Join(dir, "overlay.json")
			require.NoError(t, os.WriteFile(overlayFile, overlay, 0o600))

			fails := func(args ...string) bool {
				args = append([]string{"test", "-overlay", overlayFile, "-vet=off", "-count=1", "-timeout=5m"}, args...)
				cmd := exec.CommandContext(t.Context(), "go", args...)
				cmd.Dir = root
				out, err := cmd.CombinedOutput()
				require.NotContains(t, string(out), "[build failed]")
				require.NotContains(t, string(out), "[setup failed]")
				var exit *exec.ExitError
				return errors.As(err, &exit)
			}
			require.True(t, fails("-run=TestEverySchedule", "./internal/cursor", "-rapid.checks=4000", "-rapid.nofailfile") || fails("-run=TestEverySubscriberSees|TestWhatOthersPublish|TestAPublisherThatFoundNobody", "./broker", "-schedules=160"),
				"nothing is found wrong without it")
		})
	}
}
