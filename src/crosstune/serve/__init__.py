"""Try a trained model and hand it over: chat, translate, serve, export, push."""
