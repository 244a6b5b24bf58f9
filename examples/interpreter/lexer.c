/* lexer.c */
#include "lexer.h"

#include <string.h>

/* Without a thought of locales. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void skip_space(struct lexer *lexer)
{
    for (;; lexer->at++) {
        if (*lexer->at == '#')
            lexer->at += strcspn(lexer->at, "\n");
        if (*lexer->at == '\n' && lexer->brackets > 0)
            lexer->line++;
        else if (*lexer->at != ' ' && *lexer->at != '\t' && *lexer->at != '\r')
            return;
    }
}

static enum token_kind number(struct lexer *lexer)
{
    while (is_digit(*lexer->at))
        lexer->at++;
    if (*lexer->at != '.')
        return TOKEN_INT;
    do {
        lexer->at++;
    } while (is_digit(*lexer->at));
    return TOKEN_FLOAT;
}

/* From behind the first quote to the second. */
static bool string(struct lexer *lexer)
{
    for (; *lexer->at != '"'; lexer->at++) {
        if (*lexer->at == '\\')
            lexer->at++;
        if (*lexer->at == '\n' || *lexer->at == '\0')
            return false;
    }
    return true;
}

/* 0: none. */
static size_t sign_length(const char *at)
{
    if (at[1] == '=' && strchr("=!<>", at[0]) != NULL)
        return 2;
    return strchr("+-*/<>=()[]{},:", at[0]) != NULL;
}

static bool sign(struct lexer *lexer)
{
    lexer->brackets += (strchr("([{", *lexer->at) != NULL) - (strchr(")]}", *lexer->at) != NULL);
    size_t length = sign_length(lexer->at);
    lexer->at += length;
    return length > 0;
}

bool lexer_next(struct lexer *lexer, struct token *token, struct failure *failure)
{
    skip_space(lexer);
    *token = (struct token){.line = lexer->line, .text = lexer->at};
    if (*lexer->at == '\0') {
        token->kind = TOKEN_END;
    } else if (*lexer->at == '\n') {
        token->kind = TOKEN_LINE;
        lexer->at++;
        lexer->line++;
    } else if (is_digit(*lexer->at)) {
        token->kind = number(lexer);
    } else if (is_letter(*lexer->at)) {
        token->kind = TOKEN_NAME;
        while (is_letter(*lexer->at) || is_digit(*lexer->at))
            lexer->at++;
    } else if (*lexer->at == '"') {
        token->kind = TOKEN_STR;
        token->text = ++lexer->at;
        if (!string(lexer))
            return fail(failure, lexer->line, "a string without its end");
    } else {
        token->kind = TOKEN_SIGN;
        if (!sign(lexer))
            return fail(failure, lexer->line, "'%c' means nothing", *lexer->at);
    }
    token->length = (size_t)(lexer->at - token->text);
    if (token->kind == TOKEN_STR)
        lexer->at++;
    return true;
}
