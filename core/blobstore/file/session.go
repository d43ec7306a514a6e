package file

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
)

// maxIdle is how many uploads that nobody has at the moment are remembered. What is known of others is in their files: to continue
// one of them costs no more than after a restart, since the part that its state file doesn't describe is short.
const maxIdle = 1000

// sessions gives each upload to one writer at a time, and keeps what is known of it between requests.
type sessions struct {
	patience time.Duration

	mu   sync.Mutex
	open map[string]*session
	// idle are the sessions that are open and have no users, the one that was left last in front.
	idle *list.List
}

func newSessions() sessions {
	return sessions{patience: patience, open: map[string]*session{}, idle: list.New()}
}

// session is an upload's turn and, for its holder, its state.
type session struct {
	id string
	// turn holds a value while somebody has the upload.
	turn chan struct{}
	// users counts who has the upload or waits for it; sessions.mu guards it.
	users int
	// idle is the session's element of sessions.idle when users is 0; sessions.mu guards it.
	idle *list.Element
	// upload is nil as long as nothing is known, and again when the upload has ended. It is the turn's holder's.
	upload *upload
}

// acquire waits for the turn of the upload; the caller releases it.
func (s *sessions) acquire(ctx context.Context, id string) (*session, error) {
	ses := s.join(id)
	select {
	case ses.turn <- struct{}{}:
		return ses, nil
	default:
	}
	wait := time.NewTimer(s.patience)
	defer wait.Stop()
	select {
	case ses.turn <- struct{}{}:
		return ses, nil
	case <-wait.C:
		s.leave(ses)
		return nil, blobstore.ErrBusy
	case <-ctx.Done():
		s.leave(ses)
		return nil, fmt.Errorf("%w: %w", blobstore.ErrBusy, ctx.Err())
	}
}

// try takes the turn if nobody has it.
func (s *sessions) try(id string) (*session, bool) {
	ses := s.join(id)
	select {
	case ses.turn <- struct{}{}:
		return ses, true
	default:
		s.leave(ses)
		return nil, false
	}
}

func (s *sessions) release(ses *session) {
	<-ses.turn
	s.leave(ses)
}

func (s *sessions) join(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.open[id]
	if ses == nil {
		ses = &session{id: id, turn: make(chan struct{}, 1)}
		s.open[id] = ses
	}
	if ses.idle != nil {
		s.idle.Remove(ses.idle)
		ses.idle = nil
	}
	ses.users++
	return ses
}

// leave forgets a session that nobody uses and that holds nothing, or that of many which was used least recently.
func (s *sessions) leave(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses.users--
	switch {
	case ses.users > 0:
		return
	case ses.upload == nil:
		delete(s.open, ses.id)
		return
	}
	ses.idle = s.idle.PushFront(ses.id)
	if s.idle.Len() > maxIdle {
		delete(s.open, s.idle.Remove(s.idle.Back()).(string))
	}
}
