package streamtest

import (
	"net/http/httptest"
	"os"
	"sync"
	"time"
)

// Slow is a response whose client takes nothing in at first.
type Slow struct {
	*httptest.ResponseRecorder
	// Proceed, once closed, lets writes through.
	Proceed chan struct{}

	expired chan struct{} // closed when a deadline is over
	expire  func()

	mu       sync.Mutex
	deadline *time.Timer // guarded by mu
}

// NewSlow returns such a response.
func NewSlow() *Slow {
	s := &Slow{ResponseRecorder: httptest.NewRecorder(), Proceed: make(chan struct{}), expired: make(chan struct{})}
	s.expire = sync.OnceFunc(func() { close(s.expired) })
	return s
}

// SetWriteDeadline is for http.ResponseController.
func (s *Slow) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline != nil {
		s.deadline.Stop()
	}
	if !t.IsZero() {
		s.deadline = time.AfterFunc(time.Until(t), s.expire)
	}
	return nil
}

// Write implements http.ResponseWriter.
func (s *Slow) Write(p []byte) (int, error) {
	select {
	case <-s.Proceed:
		return s.ResponseRecorder.Write(p)
	case <-s.expired:
		return 0, os.ErrDeadlineExceeded
	}
}
