module github.com/carillon-rt/carillon/storage/storagetest/linearizability

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/carillon-rt/carillon v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
