package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shellScripts ask each shell for what it offers behind "mycompose logs w", a word
// per line: by the script that `completion` writes, run by the shell itself. Of
// bash-completion only the one function is there that the script calls; zsh would
// narrow what is offered itself.
var shellScripts = map[string]string{
	"bash": `
compopt() { :; }
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; }
. <(mycompose completion bash)
COMP_WORDS=(mycompose logs w) COMP_CWORD=2 COMP_LINE="mycompose logs w" COMP_POINT=16 COMP_TYPE=9
__start_mycompose
printf '%s\n' "${COMPREPLY[@]}"`,
	"fish": `mycompose completion fish | source; complete -C "mycompose logs w"`,
	"zsh": `
compdef() { :; }
_describe() { shift $(( $# - 2 )); print -rl -- "${(@P)1}" "${(@P)2}"; return 0; }
. <(mycompose completion zsh)
words=(mycompose logs w) CURRENT=3
_mycompose`,
}

func TestShellsCompleteServices(t *testing.T) {
	h := newHost(t)
	dir := h.project("complete", map[string]string{"compose.yaml": "services: {web: {image: busybox}, worker: {image: busybox}, db: {image: busybox}}\n"})
	for shell, script := range shellScripts {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil && shell != "bash" {
				t.Logf("%s is not on this machine", shell)
				return
			}
			cmd := exec.Command(path, "-c", script)
			cmd.Dir = dir
			cmd.Env = append(slices.Clone(h.env), "PATH="+filepath.Dir(h.binary)+":/usr/bin:/bin", "HOME="+tempDir(t), "TERM=dumb")
			out, err := cmd.CombinedOutput()
			offered := strings.Fields(string(out))
			slices.Sort(offered)
			want := "web worker"
			if shell == "zsh" {
				want = "db web worker"
			}
			if got := strings.Join(slices.Compact(offered), " "); err != nil || got != want {
				t.Errorf("it offers %q, %v", out, err)
			}
		})
	}
}
