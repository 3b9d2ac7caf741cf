// Package websocket carries connections over RFC 6455: it is the transport that
// browsers use, made for many connections that are sent the same messages.
//
// A message is framed once for all connections, and all that waits for one of them
// leaves in one system call. The package does not know what messages and close codes
// mean, and checks neither origins nor credentials: its caller does.
// github.com/coder/websocket makes the handshake and reads.
//
//	s, err := websocket.NewServer()
//	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
//		_ = s.Serve(w, r, func(conn transport.Conn) transport.Receiver {
//			return newReceiver(conn)
//		})
//	})
package websocket
