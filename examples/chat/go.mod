module github.com/carillon-rt/carillon/examples/chat

go 1.26.0

require (
	github.com/SherClockHolmes/webpush-go v1.4.0
	github.com/carillon-rt/carillon v0.0.0
	github.com/carillon-rt/carillon/storage/sqlite v0.0.0
	github.com/coder/websocket v1.8.15
	github.com/ncruces/go-sqlite3 v0.37.0
	github.com/stretchr/testify v1.12.1
	go.mau.fi/util v0.11.0
	go.uber.org/goleak v1.3.0
	golang.org/x/crypto v0.58.0
	golang.org/x/image v0.48.0
	golang.org/x/text v0.44.0
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	github.com/ncruces/go-sqlite3-wasm/v6 v6.5.35401 // indirect
	github.com/ncruces/julianday v1.0.0 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.50.0 // indirect
)
