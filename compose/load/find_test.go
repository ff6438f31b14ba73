package load

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes files into a fresh folder and returns its path.
func folder(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for path, text := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const oneService = "services:\n  web:\n    image: busybox\n"

func TestFilesAreFound(t *testing.T) {
	dir := folder(t, "proj", map[string]string{
		"compose.yml":         oneService,
		"docker-compose.yaml": oneService,
		"sub/deep/x":          "",
		"other/a.yaml":        oneService,
		"other/b.yaml":        oneService,
		"inner/compose.yaml":  oneService,
	})
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, tt := range []struct {
		name  string
		opts  Options
		files []string
		dir   string
	}{
		{"in the folder itself", Options{Dir: dir}, []string{at("compose.yml")}, dir},
		{"in a folder above", Options{Dir: at("sub", "deep")}, []string{at("compose.yml")}, dir},
		{"the nearest one wins", Options{Dir: at("inner")}, []string{at("inner", "compose.yaml")}, at("inner")},
		{"-f is relative to the working folder", Options{Dir: at("sub"), Files: []string{"../other/a.yaml"}}, []string{at("other", "a.yaml")}, at("other")},
		{"COMPOSE_FILE names several", Options{Dir: dir, Env: map[string]string{"COMPOSE_FILE": "other/a.yaml:other/b.yaml"}},
			[]string{at("other", "a.yaml"), at("other", "b.yaml")}, at("other")},
		{"COMPOSE_PATH_SEPARATOR parts them", Options{Dir: dir, Env: map[string]string{"COMPOSE_FILE": "other/a.yaml;other/b.yaml", "COMPOSE_PATH_SEPARATOR": ";"}},
			[]string{at("other", "a.yaml"), at("other", "b.yaml")}, at("other")},
		{"-f beats COMPOSE_FILE", Options{Dir: dir, Files: []string{"compose.yml"}, Env: map[string]string{"COMPOSE_FILE": "nope.yaml"}},
			[]string{at("compose.yml")}, dir},
		{"standard input takes the working folder", Options{Dir: at("sub"), Files: []string{"-"}, Stdin: strings.NewReader(oneService)},
			[]string{"-"}, at("sub")},
		{"--project-directory", Options{Dir: dir, Files: []string{"other/a.yaml"}, ProjectDir: "sub"}, []string{at("other", "a.yaml")}, at("sub")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Load(context.Background(), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.Project.ComposeFiles, tt.files) || r.Project.WorkingDir != tt.dir {
				t.Errorf("got %v in %s", r.Project.ComposeFiles, r.Project.WorkingDir)
			}
		})
	}
}

func TestNoFileIsAnErrorOfItsOwn(t *testing.T) {
	_, err := Load(context.Background(), Options{Dir: "/proc/self/fdinfo"})
	if !errors.Is(err, ErrNoFile) || !strings.HasPrefix(err.Error(), "no configuration file provided: not found; looked for compose.yaml") {
		t.Error(err)
	}
}

func TestTheProjectIsNamed(t *testing.T) {
	named := "name: from-file\n" + oneService
	for _, tt := range []struct {
		name, dir, file string
		opts            Options
		want            string
	}{
		{"after the folder, cleaned", "My.Proj_X", oneService, Options{}, "myproj_x"},
		{"by the file", "dir", named, Options{}, "from-file"},
		{"by the file, cleaned", "dir", "name: Bad_Name!\n" + oneService, Options{}, "bad_name"},
		{"by the file, filled in", "dir", "name: a${V}\n" + oneService, Options{Env: map[string]string{"V": "b"}}, "ab"},
		{"by COMPOSE_PROJECT_NAME over the file", "dir", named, Options{Env: map[string]string{"COMPOSE_PROJECT_NAME": "env"}}, "env"},
		{"by -p over all", "dir", named, Options{ProjectName: "flag", Env: map[string]string{"COMPOSE_PROJECT_NAME": "env"}}, "flag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Dir = folder(t, tt.dir, map[string]string{"compose.yaml": tt.file})
			r, err := Load(context.Background(), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if r.Project.Name != tt.want {
				t.Errorf("got %s", r.Project.Name)
			}
		})
	}
}

func TestVariablesComeFromTheirPlaces(t *testing.T) {
	file := "services:\n  web:\n    image: i:${V:-none}\n"
	files := map[string]string{"compose.yaml": file, ".env": "V=dotenv\nCOMPOSE_PROFILES=a,b\n", "other.env": "V=other\n", "sub/.env": "V=sub\n"}
	for _, tt := range []struct {
		name string
		env  map[string]string
		opts Options
		want string
	}{
		{"from .env", nil, Options{}, "i:dotenv"},
		{"from the command's environment over .env", map[string]string{"V": "env"}, Options{}, "i:env"},
		{"from COMPOSE_ENV_FILES", map[string]string{"COMPOSE_ENV_FILES": "other.env"}, Options{}, "i:other"},
		{"from --env-file", nil, Options{EnvFiles: []string{"other.env"}}, "i:other"},
		{"from nowhere with COMPOSE_DISABLE_ENV_FILE", map[string]string{"COMPOSE_DISABLE_ENV_FILE": "true"}, Options{}, "i:none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Dir, tt.opts.Env = folder(t, "p", files), tt.env
			r, err := Load(context.Background(), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Project.Services["web"].Image; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestProfilesComeFromFlagOrEnvironment(t *testing.T) {
	files := map[string]string{"compose.yaml": oneService, ".env": "COMPOSE_PROFILES=b, a\n"}
	r, err := Load(context.Background(), Options{Dir: folder(t, "p", files)})
	if err != nil || !slices.Equal(r.Project.Profiles, []string{"a", "b"}) {
		t.Error(r.Project.Profiles, err)
	}
	r, err = Load(context.Background(), Options{Dir: folder(t, "p", files), Profiles: []string{"c"}})
	if err != nil || !slices.Equal(r.Project.Profiles, []string{"c"}) {
		t.Error(r.Project.Profiles, err)
	}
}

func TestCheckScaleRefusesWhatOnlyOneReplicaCanHave(t *testing.T) {
	dir := folder(t, "p", map[string]string{"compose.yaml": "services:\n  web:\n    image: a\n    ports:\n      - \"80:80\"\n      - \"90-92:90\"\n      - \"70\"\n"})
	r, err := Load(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckScale(); err != nil {
		t.Error(err)
	}
	s := r.Project.Services["web"]
	s.Scale = 3
	r.Project.Services["web"] = s
	want := "compose.yaml:5:9: service web publishes host port 80 and has 3 replicas; publish a range such as 80-82:80, or leave the host port out"
	if err := r.CheckScale(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestMistakesInStandardInputAreNamedSo(t *testing.T) {
	_, err := Load(context.Background(), Options{Dir: t.TempDir(), Files: []string{"-"}, Stdin: strings.NewReader("services:\n  a:\n    imgae: b\n")})
	if want := "<stdin>:3:5: unknown key services.a.imgae; did you mean `image`?"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
