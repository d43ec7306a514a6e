package security

// Sees tells whether the principal has any right on content of the repository.
func (s *Service) Sees(p Principal, format, repo string) bool {
	return s.current.Load().sees(p, format, repo)
}
