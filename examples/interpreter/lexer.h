/* lexer.h - a script's text as tokens. Lines end statements, but not within brackets. */
#ifndef INTERPRETER_LEXER_H
#define INTERPRETER_LEXER_H

#include <stddef.h>

#include "failure.h"

enum token_kind {
    TOKEN_END,  /* of the script */
    TOKEN_LINE, /* its end */
    TOKEN_NAME, /* or a word of the language */
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_STR, /* without its quotes */
    TOKEN_SIGN,
};

struct token {
    enum token_kind kind;
    int line;
    const char *text; /* in the script */
    size_t length;
};

struct lexer {
    const char *at; /* a 0 ends the text */
    int line;       /* from 1 */
    int brackets;   /* open */
};

bool lexer_next(struct lexer *lexer, struct token *token, struct failure *failure);

#endif
