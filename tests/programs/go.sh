# does: Go builds a program with C in it; goroutines call malloc and free, and C calls Go back
# needs: go gcc
# limit: 600
# long: yes

set -euo pipefail

export GOCACHE=$PWD/cache GOPATH=$PWD/path GOFLAGS=-mod=mod GOPROXY=off GO111MODULE=off GOTOOLCHAIN=local
export CGO_ENABLED=1
cp "$TESTS_DIR/churn.go" .
under go vet churn.go
under go build -o churn churn.go
for collect in 100 5; do
    GOGC=$collect under ./churn
    GODEBUG=netdns=cgo GOMAXPROCS=4 GOGC=$collect under ./churn
done
