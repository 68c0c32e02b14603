package syntax

import "slices"

// Suggest returns "did you mean 'x'?" for the known name nearest to name, or
// "" when none is near.
func Suggest(name string, known []string) string {
	slices.Sort(known)
	best, limit := "", max(1, len([]rune(name))/3)
	for _, candidate := range known {
		if d := distance(name, candidate, limit); d <= limit {
			best, limit = candidate, d-1
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean '" + best + "'?"
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours between a and b, or limit+1 when it is above limit.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if abs(len(x)-len(y)) > limit {
		return limit + 1
	}
	var before []int
	prev, row := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, make([]int, len(y)+1)
	}
	return prev[len(y)]
}

func abs(n int) int { return max(n, -n) }
