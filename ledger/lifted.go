package ledger

import "time"

// liftedFor is longer than an answer of the store can lie about before it is taken: a
// failed login's waits for the file.
const liftedFor = time.Minute

// lifted are the names whose failures were cleared of late. An answer from before that,
// which is taken after it, would bring the lifted block back, and nobody would hear of
// it any more.
type lifted struct {
	names map[string]lifting
	swept time.Time
}

type lifting struct {
	at    int64 // by the server's clock
	heard time.Time
}

// overtook tells whether an answer that knows of the name's clearing at that time, or of
// none, is from before a later one. The memory's lock is held.
func (l *lifted) overtook(name string, clearing int64) bool {
	now := time.Now()
	known, ok := l.names[name]
	if ok && clearing < known.at && now.Sub(known.heard) < liftedFor {
		return true // but not for ever: the store may have been emptied
	}
	if clearing == 0 || ok && clearing == known.at {
		return false
	}
	if now.Sub(l.swept) >= liftedFor {
		l.swept = now
		for n, old := range l.names {
			if now.Sub(old.heard) >= liftedFor {
				delete(l.names, n)
			}
		}
	}
	if l.names == nil {
		l.names = map[string]lifting{}
	}
	l.names[name] = lifting{clearing, now}
	return false
}
