package xhr

import (
	"github.com/stretchr/testify/require"
)

func newServer(t require.TestingT, opts ...Option) *Server {
	s, err := NewServer(opts...)
	require.NoError(t, err)
	return s
}
