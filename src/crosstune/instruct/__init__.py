"""Instructions in the target language, made of English ones by translation, and kept where that went well."""
