// Package clusters knows the member clusters as connections: which cluster a
// connection belongs to ([Resolver]), and what each cluster's edges were sent
// and confirmed ([Tracker]).
package clusters
