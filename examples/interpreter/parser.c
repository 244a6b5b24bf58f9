/* parser.c - recursive descent, and precedence climbing for the operators.
 *
 * A function is told the place of the node that it makes, in a node that is part of the tree already. So
 * there is nothing to release when it fails: the tree has everything.
 */
#include "parser.h"

#include <limits.h>
#include <string.h>

#include "lexer.h"

enum { DEPTH_MOST = 200 };

struct parser {
    struct lexer lexer;
    struct token token; /* not accepted yet */
    struct failure *failure;
    int depth;
};

static arn_type *node_type;

bool parser_begin(void)
{
    static const size_t fields[] = {offsetof(struct node, left), offsetof(struct node, right),
                                    offsetof(struct node, otherwise), offsetof(struct node, next),
                                    offsetof(struct node, text)};
    node_type = arn_type_register(&(struct arn_type_info){.name = "node",
                                                          .bytes = sizeof(struct node),
                                                          .shape = ARN_FIXED,
                                                          .offsets = fields,
                                                          .offset_count = 5});
    return node_type != NULL;
}

/* ---- tokens ---- */

static bool advance(struct parser *parser)
{
    return lexer_next(&parser->lexer, &parser->token, parser->failure);
}

/* Is it this sign or word? */
static bool at(const struct parser *parser, const char *text)
{
    const struct token *token = &parser->token;
    return (token->kind == TOKEN_SIGN || token->kind == TOKEN_NAME) &&
           strlen(text) == token->length && memcmp(text, token->text, token->length) == 0;
}

static bool is_word(const struct parser *parser)
{
    static const char *const words[] = {"if",     "else", "while", "def", "end",
                                        "return", "del",  "and",   "or",  "not"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (at(parser, words[i]))
            return true;
    }
    return false;
}

static bool expected(struct parser *parser, const char *what)
{
    const struct token *token = &parser->token;
    if (token->kind == TOKEN_END || token->kind == TOKEN_LINE)
        return fail(parser->failure, token->line, "%s expected, not the end of the %s", what,
                    token->kind == TOKEN_END ? "script" : "line");
    return fail(parser->failure, token->line, "%s expected, not '%.*s'", what, (int)token->length,
                token->text);
}

static bool expect(struct parser *parser, const char *text)
{
    return at(parser, text) ? advance(parser) : expected(parser, text);
}

/* ---- nodes ---- */

/* A new node in this place; what was there becomes its left. */
static bool put(struct parser *parser, struct node **place, enum node_kind kind)
{
    struct node *node = arn_new(node_type);
    if (node == NULL)
        return fail(parser->failure, parser->token.line, "no memory");
    node->kind = kind;
    node->line = parser->token.line;
    arn_move(&node->left, *place);
    *place = node;
    return true;
}

static size_t unescape(char *text, size_t length)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        bool is_escape = text[i] == '\\';
        i += is_escape;
        text[written++] = is_escape && text[i] == 'n' ? '\n' : text[i];
    }
    return written;
}

/* The token's text for the node; and on. */
static bool take_text(struct parser *parser, struct node *node)
{
    struct str *text = str_new(parser->token.text, parser->token.length);
    if (text == NULL)
        return fail(parser->failure, parser->token.line, "no memory");
    if (parser->token.kind == TOKEN_STR)
        text->length = unescape(text->text, text->length);
    arn_move(&node->text, text);
    return advance(parser);
}

static bool name(struct parser *parser, struct node **place)
{
    if (parser->token.kind != TOKEN_NAME || is_word(parser))
        return expected(parser, "a name");
    return put(parser, place, NODE_NAME) && take_text(parser, *place);
}

/* ---- expressions ---- */

enum { ANY = 1, COMPARISON = 3 };

static const struct operation {
    const char *text;
    enum node_kind kind;
    int rank; /* the higher, the tighter it binds */
} operations[] = {
    {"or", NODE_OR, ANY},
    {"and", NODE_AND, 2},
    {"==", NODE_EQUAL, COMPARISON},
    {"!=", NODE_UNEQUAL, COMPARISON},
    {"<", NODE_LESS, COMPARISON},
    {"<=", NODE_LESS_EQUAL, COMPARISON},
    {">", NODE_GREATER, COMPARISON},
    {">=", NODE_GREATER_EQUAL, COMPARISON},
    {"+", NODE_ADD, 4},
    {"-", NODE_SUBTRACT, 4},
    {"*", NODE_MULTIPLY, 5},
    {"/", NODE_DIVIDE, 5},
};

static const struct operation *operation_here(const struct parser *parser)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (at(parser, operations[i].text))
            return &operations[i];
    }
    return NULL;
}

static bool expression(struct parser *parser, struct node **place, int rank);

/* Expressions (with `colons`: pairs of them) to the closing bracket. */
static bool expressions(struct parser *parser, struct node **place, const char *end, bool colons)
{
    while (!at(parser, end)) {
        if (!expression(parser, place, ANY))
            return false;
        place = &(*place)->next;
        if (colons) {
            if (!expect(parser, ":") || !expression(parser, place, ANY))
                return false;
            place = &(*place)->next;
        }
        if (!at(parser, end) && !expect(parser, ","))
            return false;
    }
    return advance(parser);
}

static bool literal(struct parser *parser, struct node **place, enum node_kind kind)
{
    return put(parser, place, kind) && take_text(parser, *place);
}

static bool primary(struct parser *parser, struct node **place)
{
    switch (parser->token.kind) {
    case TOKEN_INT:
        return literal(parser, place, NODE_INT);
    case TOKEN_FLOAT:
        return literal(parser, place, NODE_FLOAT);
    case TOKEN_STR:
        return literal(parser, place, NODE_STR);
    default:
        break;
    }
    if (at(parser, "("))
        return advance(parser) && expression(parser, place, ANY) && expect(parser, ")");
    if (at(parser, "["))
        return put(parser, place, NODE_LIST) && advance(parser) &&
               expressions(parser, &(*place)->left, "]", false);
    if (at(parser, "{"))
        return put(parser, place, NODE_DICT) && advance(parser) &&
               expressions(parser, &(*place)->left, "}", true);
    return name(parser, place);
}

/* With the indices and arguments behind it. */
static bool postfix(struct parser *parser, struct node **place)
{
    bool good = primary(parser, place);
    while (good) {
        if (at(parser, "["))
            good = put(parser, place, NODE_INDEX) && advance(parser) &&
                   expression(parser, &(*place)->right, ANY) && expect(parser, "]");
        else if (at(parser, "("))
            good = put(parser, place, NODE_CALL) && advance(parser) &&
                   expressions(parser, &(*place)->right, ")", false);
        else
            return true;
    }
    return false;
}

static bool prefixed(struct parser *parser, struct node **place)
{
    if (at(parser, "not"))
        return put(parser, place, NODE_NOT) && advance(parser) &&
               expression(parser, &(*place)->left, COMPARISON);
    if (at(parser, "-"))
        return put(parser, place, NODE_SUBTRACT) && advance(parser) &&
               expression(parser, &(*place)->right, INT_MAX);
    return postfix(parser, place);
}

/* Of operators of this rank or above. */
static bool expression(struct parser *parser, struct node **place, int rank)
{
    if (++parser->depth > DEPTH_MOST)
        return fail(parser->failure, parser->token.line, "nested too deep");
    if (!prefixed(parser, place))
        return false;
    const struct operation *operation;
    while ((operation = operation_here(parser)) != NULL && operation->rank >= rank) {
        if (!put(parser, place, operation->kind) || !advance(parser) ||
            !expression(parser, &(*place)->right, operation->rank + 1))
            return false;
    }
    parser->depth--;
    return true;
}

/* ---- statements ---- */

static bool statements(struct parser *parser, struct node **place);

static bool block(struct parser *parser, struct node **place)
{
    return statements(parser, place) && expect(parser, "end");
}

static bool conditional(struct parser *parser, struct node **place)
{
    if (!put(parser, place, NODE_IF) || !advance(parser) ||
        !expression(parser, &(*place)->left, ANY) || !statements(parser, &(*place)->right))
        return false;
    if (!at(parser, "else"))
        return expect(parser, "end");
    return advance(parser) && block(parser, &(*place)->otherwise);
}

static bool definition(struct parser *parser, struct node **place)
{
    if (!put(parser, place, NODE_DEFINE) || !advance(parser))
        return false;
    if (parser->token.kind != TOKEN_NAME || is_word(parser))
        return expected(parser, "a name");
    if (!take_text(parser, *place) || !expect(parser, "("))
        return false;
    for (struct node **parameter = &(*place)->left; !at(parser, ")");
         parameter = &(*parameter)->next) {
        if (!name(parser, parameter) || (!at(parser, ")") && !expect(parser, ",")))
            return false;
    }
    return advance(parser) && block(parser, &(*place)->right);
}

static bool assignment_or_expression(struct parser *parser, struct node **place)
{
    if (!expression(parser, place, ANY))
        return false;
    if (!at(parser, "="))
        return put(parser, place, NODE_EXPRESSION);
    if ((*place)->kind != NODE_NAME && (*place)->kind != NODE_INDEX)
        return fail(parser->failure, parser->token.line, "nothing that can be assigned to");
    return put(parser, place, NODE_ASSIGN) && advance(parser) &&
           expression(parser, &(*place)->right, ANY);
}

static bool statement(struct parser *parser, struct node **place)
{
    if (at(parser, "if"))
        return conditional(parser, place);
    if (at(parser, "while"))
        return put(parser, place, NODE_WHILE) && advance(parser) &&
               expression(parser, &(*place)->left, ANY) && block(parser, &(*place)->right);
    if (at(parser, "def"))
        return definition(parser, place);
    if (at(parser, "del"))
        return put(parser, place, NODE_DELETE) && advance(parser) && name(parser, &(*place)->left);
    if (at(parser, "return"))
        return put(parser, place, NODE_RETURN) && advance(parser) &&
               (parser->token.kind == TOKEN_LINE || parser->token.kind == TOKEN_END ||
                expression(parser, &(*place)->left, ANY));
    return assignment_or_expression(parser, place);
}

/* To a word that ends them, which is left, or to the script's end. */
static bool statements(struct parser *parser, struct node **place)
{
    if (++parser->depth > DEPTH_MOST)
        return fail(parser->failure, parser->token.line, "nested too deep");
    for (;;) {
        while (parser->token.kind == TOKEN_LINE) {
            if (!advance(parser))
                return false;
        }
        if (parser->token.kind == TOKEN_END || at(parser, "end") || at(parser, "else"))
            break;
        if (!statement(parser, place))
            return false;
        if (parser->token.kind != TOKEN_LINE && parser->token.kind != TOKEN_END)
            return expected(parser, "the end of the line");
        place = &(*place)->next;
    }
    parser->depth--;
    return true;
}

bool parse(const char *text, struct node **tree, struct failure *failure)
{
    struct parser parser = {.lexer = {.at = text, .line = 1}, .failure = failure};
    *tree = NULL;
    if (!advance(&parser) || !statements(&parser, tree))
        return false;
    return parser.token.kind == TOKEN_END || expected(&parser, "a statement");
}
