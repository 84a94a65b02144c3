package pipeline

// observerRequestProcessor is where the requests of an observer's clients enter. An observer asks of
// its leader what a follower does; it differs in what it is told, INFORM for PROPOSAL and COMMIT.
type observerRequestProcessor struct {
	*followerRequestProcessor
}
