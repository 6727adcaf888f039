# Names for commands; .ci/run is all of them in order.
.PHONY: check lint test deb image tour docs bench
check:; bash .ci/run
lint:; go tool -modfile=.ci/tools/go.mod golangci-lint run ./...
test:; go test -race -shuffle=on -timeout 20m ./...
docs:; go test . -run Current -update
deb:; bash cmd/gracegate/debian/build.sh
image:; docker build --target gateway --tag gracegate:local .
tour:; docker compose up -d --build --wait
bench:; bash bench/run.sh
