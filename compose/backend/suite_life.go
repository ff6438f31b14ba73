package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

func startStopTwice(ctx context.Context, s Subject) error {
	return s.started(ctx, s.blueprint("cycle", s.Forever), func(id string) error {
		if err := s.Backend.StartContainer(ctx, id); err != nil {
			return fmt.Errorf("second start: %w", err)
		}
		status, err := s.Backend.WaitContainer(ctx, id, spec.UntilRunning)
		if err != nil || status.State != spec.StateRunning {
			return fmt.Errorf("state %s, error %w", status.State, err)
		}
		for range 2 {
			if err := s.Backend.StopContainer(ctx, id, spec.Stop{}); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
		}
		status, err = s.Backend.WaitContainer(ctx, id, spec.UntilExited)
		if err != nil || !status.StoppedByUser {
			return fmt.Errorf("stopped by user %v, error %w", status.StoppedByUser, err)
		}
		return s.Backend.StartContainer(ctx, id)
	})
}

func removeMissing(ctx context.Context, s Subject) error {
	return errors.Join(
		s.Backend.RemoveContainer(ctx, "0000000000000000000000000000000000000000000000000000000000000000", spec.Remove{}),
		s.Backend.RemoveNetwork(ctx, "suite_nothing"),
		s.Backend.RemoveVolume(ctx, "suite_nothing"),
	)
}

func removeRunning(ctx context.Context, s Subject) error {
	return s.started(ctx, s.blueprint("force", s.Forever), func(id string) error {
		return wants("remove", s.Backend.RemoveContainer(ctx, id, spec.Remove{}), spec.ErrInUse)
	})
}

func killStopped(ctx context.Context, s Subject) error {
	return s.with(ctx, s.blueprint("kill", s.Forever), func(c spec.Container) error {
		return wants("kill", s.Backend.KillContainer(ctx, c.Blueprint.ID, "SIGKILL"), spec.ErrNotRunning)
	})
}

func pauseAndStop(ctx context.Context, s Subject) error {
	err := s.with(ctx, s.blueprint("unpaused", s.Forever), func(c spec.Container) error {
		return wants("pause", s.Backend.PauseContainer(ctx, c.Blueprint.ID), spec.ErrNotRunning)
	})
	if err != nil {
		return err
	}
	return s.started(ctx, s.blueprint("paused", s.Forever), func(id string) error {
		for _, step := range []struct {
			do    func(context.Context, string) error
			after spec.State
		}{
			{s.Backend.PauseContainer, spec.StatePaused}, {s.Backend.PauseContainer, spec.StatePaused},
			{s.Backend.UnpauseContainer, spec.StateRunning}, {s.Backend.UnpauseContainer, spec.StateRunning},
			{s.Backend.PauseContainer, spec.StatePaused},
		} {
			if err := step.do(ctx, id); err != nil {
				return err
			}
			all, err := s.Backend.Containers(ctx, "suite")
			if err != nil || len(all) != 1 || all[0].Status.State != step.after {
				return fmt.Errorf("%d containers, not %s; error %w", len(all), step.after, err)
			}
		}
		none := time.Duration(0)
		if err := s.Backend.StopContainer(ctx, id, spec.Stop{Grace: &none}); err != nil {
			return err
		}
		status, err := s.Backend.WaitContainer(ctx, id, spec.UntilExited)
		if err != nil || status.State != spec.StateExited {
			return fmt.Errorf("status %+v, error %w", status, err)
		}
		return nil
	})
}

func runHooks(ctx context.Context, s Subject) error {
	b := s.blueprint("hooks", s.Forever)
	b.PostStart = []spec.Hook{{Args: s.Good.Test[1:]}}
	b.PreStop = []spec.Hook{{Args: s.Three}}
	return s.with(ctx, b, func(c spec.Container) error {
		id := c.Blueprint.ID
		if err := wants("hooks before the start", s.Backend.RunHooks(ctx, id, spec.PostStart), spec.ErrNotRunning); err != nil {
			return err
		}
		if err := s.Backend.StartContainer(ctx, id); err != nil {
			return err
		}
		for _, due := range []bool{true, false} {
			status, err := s.Backend.WaitContainer(ctx, id, spec.UntilRunning)
			if err != nil || status.HooksDue != due {
				return fmt.Errorf("status %+v, %v: want hooks due %v", status, err, due)
			}
			if err := s.Backend.RunHooks(ctx, id, spec.PostStart); err != nil {
				return err
			}
		}
		err := s.Backend.RunHooks(ctx, id, spec.PreStop)
		if err == nil || !strings.Contains(err.Error(), "pre_stop hook of suite-hooks exited with status 3") {
			return fmt.Errorf("a hook that ends with 3 gives %v", err)
		}
		return nil
	})
}

func waitExited(ctx context.Context, s Subject) error {
	return s.started(ctx, s.blueprint("three", s.Three), func(id string) error {
		status, err := s.Backend.WaitContainer(ctx, id, spec.UntilExited)
		if err != nil || status.ExitCode != 3 || status.State != spec.StateExited {
			return fmt.Errorf("status %+v, error %w", status, err)
		}
		return nil
	})
}

func waitRunning(ctx context.Context, s Subject) error {
	return s.started(ctx, s.blueprint("ended", s.Three), func(id string) error {
		if _, err := s.Backend.WaitContainer(ctx, id, spec.UntilExited); err != nil {
			return err
		}
		status, err := s.Backend.WaitContainer(ctx, id, spec.UntilRunning)
		if status.ExitCode != 3 {
			return fmt.Errorf("the status does not come with the error: %+v", status)
		}
		return wants("wait", err, spec.ErrNotRunning)
	})
}

func waitHealthy(ctx context.Context, s Subject) error {
	check := func(name string, h *spec.Health, want error) error {
		b := s.blueprint(name, s.Forever)
		b.Health = h
		return s.started(ctx, b, func(id string) error {
			status, err := s.Backend.WaitContainer(ctx, id, spec.UntilHealthy)
			if want == nil {
				if err != nil || status.Health != spec.HealthHealthy {
					return fmt.Errorf("status %+v, error %w", status, err)
				}
				return nil
			}
			return wants("wait for "+name, err, want)
		})
	}
	return errors.Join(
		check("good", &s.Good, nil),
		check("bad", &s.Bad, spec.ErrUnhealthy),
		check("uncheck", &spec.Health{Disable: true}, spec.ErrNoHealth),
	)
}

func waitCanceled(ctx context.Context, s Subject) error {
	return s.started(ctx, s.blueprint("wait", s.Forever), func(id string) error {
		why := errors.New("enough")
		ending, end := context.WithCancelCause(ctx)
		end(why)
		_, err := s.Backend.WaitContainer(ending, id, spec.UntilExited)
		return wants("wait", err, why)
	})
}
