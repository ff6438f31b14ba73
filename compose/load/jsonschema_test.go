package load

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
)

// A load that forgot to skip compose-go's validation must say so, and not take
// everything as valid.
func TestTheValidatorThatIsNotLinkedRefusesClearly(t *testing.T) {
	err := schema.Validate(map[string]any{"services": map[string]any{"web": map[string]any{"image": "busybox"}}})
	if err == nil || !strings.Contains(err.Error(), "the validator is not part of this program") {
		t.Errorf("compose-go's validation said %v", err)
	}
}
