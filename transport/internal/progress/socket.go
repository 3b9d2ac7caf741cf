package progress

import (
	"net"
	"syscall"
)

// Below returns the connection below nc's TLS, or nc.
func Below(nc net.Conn) net.Conn {
	if secure, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return nc
}

// Socket returns the socket of nc, below its TLS if it has that, or nil.
func Socket(nc net.Conn) syscall.RawConn {
	sc, ok := Below(nc).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
