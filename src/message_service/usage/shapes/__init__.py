"""The shapes of usage blocks, a file for each; all `Shape`s declared here are known."""
