// A module that cannot be loaded.
throw new Error('the licence has expired');
