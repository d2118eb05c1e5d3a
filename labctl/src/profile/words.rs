//! Profiles in words.
