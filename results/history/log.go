package history

// Log is a recorded history that can be read any number of times, from the first event.
type Log interface {
	// Each calls visit for every event in the order recorded, until it returns an error.
	Each(visit func(Event) error) error
}

// Recorder takes events while a run goes on. It may be used from several goroutines.
type Recorder interface {
	Record(Event)
}

// Memory is a history held in memory, for tests and simulations.
type Memory []Event

// Each calls visit for every event.
func (m Memory) Each(visit func(Event) error) error {
	for _, e := range m {
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}
