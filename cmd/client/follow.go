package client

import "encoding/json"

// Follow is what a daemon needs to load a project's files again, as the command
// did that brought it up. It holds values of the user's variables: it is kept
// as private as they are.
type Follow struct {
	// Dir to ProjectDir are compose/load.Options.
	Dir         string   `json:"dir"`
	Files       []string `json:"files,omitempty"`
	ProjectName string   `json:"projectName,omitempty"`
	Profiles    []string `json:"profiles,omitempty"`
	EnvFiles    []string `json:"envFiles,omitempty"`
	ProjectDir  string   `json:"projectDir,omitempty"`
	// Env holds the variables that a load may look at.
	Env map[string]string `json:"env,omitempty"`
	// Paths are the files that were read, or looked for in vain.
	Paths []string `json:"paths"`
	// Inputs is compose/load.Inputs of the last load.
	Inputs json.RawMessage `json:"inputs,omitempty"`
}

// LoadCommand is the hidden command that loads for the daemon: it reads a
// LoadRequest from stdin and writes a LoadAnswer to stdout.
const LoadCommand = "load"

// LoadRequest asks for a project's model.
type LoadRequest struct {
	Follow   Follow         `json:"follow"`
	Services []string       `json:"services,omitempty"`
	Scale    map[string]int `json:"scale,omitempty"`
}

// LoadAnswer is the model, or why there is none.
type LoadAnswer struct {
	Project string `json:"project,omitempty"`
	// Unchanged: the files are as the Inputs say.
	Unchanged bool    `json:"unchanged,omitempty"`
	Input     *Input  `json:"input,omitempty"`
	Follow    *Follow `json:"follow,omitempty"`
	// Error is what is wrong with the files, a line for each mistake.
	Error string `json:"error,omitempty"`
}
