/* What one file of a model is for; spec/model.h lists the roles of each family. */
#ifndef SPEC_MODELROLE_H
#define SPEC_MODELROLE_H

/* In the order in which they are shown. The first file that a model has identifies it: workers report that one as
 * loaded. Files that models share come last. */
typedef enum ModelRole { ROLE_STUDENT, ROLE_TEACHER, ROLE_TOKENIZER, MODEL_ROLES } ModelRole;

#endif
