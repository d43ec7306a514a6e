package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/repomgr/repomgr/core/check"
)

// serveCheck checks the blob stores as the body, check.Options, says, and answers with the events, one a line, as they come. The check
// ends with the request or with ctx, the server's; a report that was cut off has no result.
func serveCheck(ctx context.Context, w http.ResponseWriter, r *http.Request, checker *check.Checker) {
	var o check.Options
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o); err != nil {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return
	}
	answer := http.NewResponseController(w)
	during, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	encoder := json.NewEncoder(w)
	err := checker.Run(during, o, func(e check.Event) error {
		if err := encoder.Encode(e); err != nil {
			return err
		}
		return answer.Flush()
	})
	if err != nil {
		// What was sent is a part of the report; only a broken answer says so.
		panic(http.ErrAbortHandler)
	}
}

// Check asks the server that listens on the socket at path to check its blob stores, and calls emit with each event as it comes;
// ErrNoServer when there is none. The last event is the result, if the error is nil.
func Check(ctx context.Context, path string, o check.Options, emit func(check.Event) error) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	resp, err := post(ctx, path, checkPath, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	decoder := json.NewDecoder(bufio.NewReader(resp.Body))
	for done := false; ; {
		var e check.Event
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF) && done:
			return nil
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("the server ended the check early: %w", err)
		}
		done = e.Result != nil
		if err := emit(e); err != nil {
			return err
		}
	}
}
